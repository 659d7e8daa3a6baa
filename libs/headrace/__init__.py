"""The Headrace library: everything that services and jobs are made of.

Start reading at `delivery` (how a record lands), `events` (what a record is) and the `ports` module of each package
(what the outside world must guarantee).
"""
