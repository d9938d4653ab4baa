-- From pitr_ext 0.4.0 to 0.5.0: what schedules, retention, dumps and drills brought.
\echo Use "ALTER EXTENSION pitr_ext UPDATE TO '0.5.0'" to load this file. \quit
