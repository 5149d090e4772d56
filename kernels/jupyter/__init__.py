"""The way of a notebook's kernel onto a Slurm node: a kernel provisioner, and what it knows of Slurm and the site."""
