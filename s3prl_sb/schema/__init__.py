"""Schema of recipes: keys, their values, and how objects are made of them."""
