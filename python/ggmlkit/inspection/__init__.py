"""Looking into files: what differs between two, and whether one is sound."""
