"What lessons share and the library does not need."

skipped = [] # (check, why) of what was not checked in this process; .ci/test.py shows it

def checked_if(condition, # can it be checked here?
               check: str, # what is checked, in a few words
               why: str, # what is missing, if it cannot
              ) -> bool: # the condition
    "Does this machine have what a check needs? If not, the run of the tests ends with the check and why it was skipped."
    if not condition:
        skipped.append((check, why))
        print(f'Skipped: {check} ({why}).')
    return bool(condition)
