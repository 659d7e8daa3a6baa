"""Bronze → silver → gold: what was landed or dropped as files becomes clean days and answers, run by run."""
