"""The routes of the server, a module for each thing that they are about."""

from genloom.serve.routes import (
    admin,
    archives,
    batches,
    edits,
    embeddings,
    files,
    generations,
    health,
    images,
    jobs,
    models,
    music,
    outputs,
    runs,
    text,
    trust,
    votes,
)

MODULES = (
    models,
    music,
    generations,
    images,
    edits,
    text,
    embeddings,
    outputs,
    archives,
    jobs,
    runs,
    votes,
    files,
    batches,
    admin,
    trust,
    health,
)
ROUTERS = [module.router for module in MODULES]
