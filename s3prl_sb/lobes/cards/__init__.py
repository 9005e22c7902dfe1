"""Cards of upstreams: finding, loading, checking, converting and listing them."""
