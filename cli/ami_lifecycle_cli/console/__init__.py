"""What all commands share: options, connections, output."""
