"""Bootstrap: the one place where concrete classes meet. Tests build the same graph through the same functions.

    basis      what every process that serves or does jobs stands on
    lane       a log and who empties it
    worker     a worker that answers HTTP: what events need
    families   the other families of handlers, loaded when it takes events already
    jobs       the code of jobs, and a process that does them

`worker` may import only what events need, for every module makes the start longer: a new family belongs to `families`.
"""
