"""Migration of Python code from the official SDK, the work of `tunesmith migrate`.

```
 source ── scan.py ──────── names bound to clients, contents, streams and errors
              │
          analysis.py ───── what to edit, and what cannot be translated
              │      names.py: new names; calls.py: calls; streams.py: create(stream=True)
          migration.py ──── edits applied, imports replaced
```

What names become is read from the tables of `_sdk_names`, and parameters from the client itself.
"""
