"""The parts of a dry run: what is counted, what an audit will cost, and the contact sheet."""
