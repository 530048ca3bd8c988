"""EVE, Suricata's JSON event format: how findings leave hbids."""
