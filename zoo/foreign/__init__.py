"""Models in the formats of other libraries, read as model folders of the zoo."""
