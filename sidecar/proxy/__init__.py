"""The program in the path of traffic: it starts, watches and stops everything that judges and moves messages."""
