"""The playground: a page to try models, fine-tune them and watch their jobs.

```
pages.py       Playground: requests of the page, for `ASGIApp(backend, pages=Playground(backend))`
assets.py      files of the page, compressed, with their headers
datasets.py    training data of the page: findings, repairs, upload
metrics.py     curves of a job, from its events or its result file
proxy.py       backend of a page for another server
attention.py   attention of tuned models, by a process of its own
weights.py     weights of a model as an archive
static/        the page: plain ES modules, with Preact and htm in vendor/
```

The page calls the API for all else.
"""
