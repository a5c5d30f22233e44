"""`/control`: what an operator or instructor does, behind the admin token; and `/status`, which anybody may read."""
