"""
When to poll next: fixed rates, cron times and active hours that know about summer time, and rhythms found in changes.

All of it is arithmetic on numbers; what a topic makes of it is ``timetable.py``'s.
"""
