"""The commands, grouped by what they are for. Heavy imports happen inside them, so that --help is instant."""
