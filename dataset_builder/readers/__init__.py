"""One module a data set: how its files say which photo shows which animal."""
