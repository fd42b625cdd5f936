"""The demo: a brain from a package, a Label Studio of its own, and a simulated crowd."""
