"""What the command line needs before anything heavy: options, parsing, plug-ins, the run folder, errors. No torch."""
