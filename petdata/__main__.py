"""`python -m petdata`, which torchrun and accelerate launch ask for."""

from petdata.cli import main

main()
