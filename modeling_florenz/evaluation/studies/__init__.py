"""Studies of what a model of emoji scenes does; none of them trains anything."""
