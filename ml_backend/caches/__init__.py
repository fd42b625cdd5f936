"""What is kept on this machine between rounds: pictures, and labelled slices as arrays."""
