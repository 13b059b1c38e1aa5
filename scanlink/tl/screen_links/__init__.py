"""What a screen says of the links of a multiome experiment."""
