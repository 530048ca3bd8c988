"""What Suricata is told in return: who is an offender, so that its user's own rules can act on him."""
