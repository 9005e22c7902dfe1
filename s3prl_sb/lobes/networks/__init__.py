"""Networks and their parts, which several families are built of."""
