"""What runs inside a user's training script: it imposes the LR of a trial, counts updates and keeps a record of both.

These modules are loaded by path in whatever Python environment the script has, under the name `_etude_script`: they
need the standard library of Python 3.8 and the torch that the script itself imports, and import neither by themselves
before the script does. Étude's own side, which writes a trial and reads its record, is `etude.script_files`.
"""
