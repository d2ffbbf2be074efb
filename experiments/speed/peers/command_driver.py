"""crossrec's real command, with a clock on its first optimizer step.

python experiments/speed/peers/command_driver.py OVERRIDE...
"""

import runpy
import sys

from clock import FirstStep, report

if __name__ == "__main__":
    first = FirstStep()
    try:
        runpy.run_module("crossrec.train", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code:
            raise
    report(first_step_s=first.seconds)
    sys.stdout.flush()
