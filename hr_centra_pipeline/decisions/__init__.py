"""What people decide, on the command line or on the pages: kept, then carried out under the run lock, with what came of it."""
