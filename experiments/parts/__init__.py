"""What single experiments are made of, where one file would be too long."""
