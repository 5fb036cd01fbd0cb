// English.

const s = (n) => (n === 1 ? "" : "s");

export default {
  "title": "genloom studio",
  "skip": "Skip to content",
  "nav": "Views", "nav.make": "Make", "nav.gallery": "Gallery", "nav.jobs": "Jobs", "nav.review": "Review", "nav.keys": "Keys", "nav.check": "Check",
  "language": "\u4e2d\u6587", "language.name": "Switch to Chinese", "theme.dark": "Dark colours", "theme.light": "Light colours", "signout": "Sign out",
  "notice": "Everything made here is AI-generated.",
  "close": "Close", "cancel": "Cancel", "more": "Show more", "retry": "Try again", "copy": "Copy", "copied": "Copied", "loading": "Loading\u2026",
  "error.offline": "The server does not answer. Is genloom serve still running?",
  "error.status": "The server answered {status}.", "error.retry": "Try again in {seconds} s.",
  "time.seconds": "{n} s", "time.minutes": "{n} min", "time.hours": "{n} h",

  "signin.title": "Sign in", "signin.lead": "This server asks for a key.", "signin.key": "Key", "signin.go": "Sign in", "signin.wrong": "No such key. Ask whoever runs the server.",

  "make.title": "Make", "make.model": "Model", "make.settings": "Settings", "make.results": "Results", "make.none": "No model is served yet.", "make.train": "Train one",
  "make.generate": "Generate", "make.stop": "Stop", "make.keys": "Ctrl+Enter makes, Esc stops",
  "make.class": "Which", "make.any": "Any", "make.find": "Find a class", "make.prompt": "Begin with", "make.prompt.hint": "The model goes on from here",
  "make.n": "How many", "make.seed": "Seed", "make.seed.hint": "The same seed makes the same thing again",
  "make.lock": "Keep this seed", "make.unlock": "A new seed each time", "make.dice": "Roll a new seed", "make.seed.any": "random",
  "make.options": "Fine tuning", "make.reset": "Back to the defaults",
  "make.ready": "Ready when you are", "make.ready.hint": "Choose what to make, then press Generate.",
  "make.step": "Step {step}", "make.of": "Step {step} of {steps}", "make.working": "Making {n}\u2026",
  "make.done": ({ n }) => `${n} made in {time}`, "make.cancelled": "Stopped.", "make.failed": "That did not work",
  "make.history": "Earlier, in this visit", "make.again": ({ n }) => `Show again: {model}, ${n} item${s(n)}`, "make.cut": "The connection ended before the result.",
  
  "model.classes": ({ n }) => `${n} class${n === 1 ? "" : "es"}`, "model.dims": ({ n }) => `${n} dimension${s(n)}`, "model.length": ({ n }) => `up to ${n} characters`,
  "option.steps": "Steps", "hint.steps": "More steps take longer and are often finer",
  "option.guidance": "Guidance", "hint.guidance": "Higher keeps closer to the class, with less variety",
  "option.guide_from": "Guidance from noise", "option.guide_to": "Guidance to noise", "option.solver": "Solver",
  "option.temperature": "Temperature", "hint.temperature": "Lower is safer, higher is bolder",
  "option.top_k": "Only the k likeliest", "option.top_p": "Only the likeliest share", "option.min_p": "Least likelihood", "option.truncation": "Truncation", "hint.truncation": "Lower is more typical, higher more varied", "option.noise": "Add noise",
  "option.none": "not set",

  "item.image": "{model}, {label}, seed {seed}", "item.held": "Held for review", "item.held.hint": "A reviewer decides whether it may be seen.", "item.unlabelled": "any class", "item.copy": "Copy text", "item.open": "Open",
  "plot.label": ({ n }) => `Scatter plot of ${n} point${s(n)}. Arrow keys walk from point to point, Enter opens one.`, "plot.table": "The points as a table", "plot.earlier": "Faint: earlier points of this model", "plot.axes": "Dimensions 1 and 2 of {n}",
  "detail.title": "One of them", "detail.model": "Model", "detail.label": "Class", "detail.seed": "Seed", "detail.created": "Made", "detail.state": "State", "detail.id": "Record", "detail.prompt": "Beginning",
  "detail.download": "Download", "detail.vary": "Variations", "detail.vary.hint": "The same class, with the seeds around this one", "detail.reuse": "Use these settings",
  "detail.code": "Make it with code", "detail.previous": "Previous", "detail.next": "Next", "detail.delete": "Delete for good", "detail.delete.sure": "Really delete?", "detail.deleted": "Deleted",
  "state.free": "free", "state.held": "held", "state.approved": "approved", "state.rejected": "rejected",

  "gallery.title": "Gallery", "gallery.lead": "Everything you have made, newest first.", "gallery.empty": "Nothing here yet", "gallery.empty.hint": "What you make is kept here.", "gallery.make": "Make something",

  "jobs.title": "Jobs", "jobs.lead": "Work that goes on when this page is closed.", "jobs.empty": "No jobs yet", "jobs.empty.hint": "Train a model, and watch it here.", "jobs.list": "All jobs",
  "job.train": "Train", "job.sample": "Sample", "job.evaluate": "Evaluate", "job.compare": "Compare",
  "job.queued": "waiting", "job.running": "running", "job.succeeded": "done", "job.failed": "failed", "job.cancelled": "cancelled", "job.cancelling": "stopping",
  "job.ahead": ({ ahead }) => `${ahead} ahead`, "job.took": "took {time}", "job.since": "for {time}", "job.use": "Make with {name}", "job.progress": "Progress of {name}", "job.result": "Result", "job.report": "Report", "job.request": "Request",
  "train.title": "Train a model", "train.data": "From", "train.own": "My own files", "train.drop": "Drop a zip, a table or a text here, or choose one", "train.chosen": "{name}, {size}",
  "train.digits": "Digits", "train.glyphs": "Glyphs", "train.moons": "Moons", "train.rings": "Rings", "train.gaussians": "Gaussians",
  "train.family": "With", "train.flow": "Flow", "train.flow.hint": "An all-rounder: from noise to data along straight paths", "train.gan": "GAN", "train.gan.hint": "Sharp, and quick to sample",
  "train.vae": "VAE", "train.vae.hint": "Trains soonest, looks softer; has a code for each item", "train.diffusion": "Diffusion", "train.diffusion.hint": "Removes noise step by step; patient and fine", "train.autoregressive": "Autoregressive", "train.autoregressive.hint": "One piece after the other; best for text",
  "train.minutes": "Minutes", "train.name": "Name", "train.name.hint": "a-z, digits, dot, dash and underscore", "train.go": "Start training", "train.started": "Training has started", "train.uploading": "Uploading\u2026", "train.nofile": "Choose a file first.",

  "review.title": "Review", "review.lead": "Held back by a filter. You decide whether they may be seen.", "review.empty": "Nothing waits for you", "review.empty.hint": "What a filter holds back appears here.",
  "review.for": "Held for", "review.reason": "Reason", "review.approve": "Approve", "review.reject": "Reject", "review.needs": "Say why it is rejected.", "review.approved": "Approved", "review.rejected": "Rejected", "review.hidden": "The picture cannot be shown",

  "keys.title": "Keys", "keys.lead": "Who may use this server, for what, and how much.", "keys.empty": "No keys yet", "keys.empty.hint": "As long as there is none, this machine needs none.",
  "keys.name": "Name", "keys.name.hint": "Letters, digits, dot, dash, underscore and @", "keys.scopes": "May", "scope.generate": "make things", "scope.train": "train models", "scope.admin": "review, and manage keys", "keys.minute": "Requests a minute", "keys.day": "Samples a day", "keys.unlimited": "no limit",
  "keys.new": "New key", "keys.add": "Make a key", "keys.secret": "Copy this now. It is shown this once.", "keys.remove": "Remove {name}", "keys.remove.sure": "Really remove?", "keys.removed": "{name} is removed", "keys.needs": "A key needs at least one permission.", "keys.first": "From the first key on, this machine needs one too; you will be signed in with it.",

  "check.title": "Check", "check.lead": "Was this made by AI? See which marks a file carries.", "check.drop": "Drop a file here, or choose one", "check.working": "Looking\u2026", "check.hint": "A picture, text or table. Nothing is kept.",
  "check.detected": "found", "check.not_detected": "not found", "check.some": "This file carries a mark", "check.nothing": "No mark was found", "check.nothing.hint": "That does not prove that a person made it: marks can be lost or removed.", "check.about": "About the mark",
  "mark.c2pa": "Signed manifest (C2PA)", "mark.sidecar": "Signed file beside it", "mark.watermark": "Invisible watermark", "mark.record": "Known to this server", "mark.aigc_label": "AIGC label", "mark.digital_source_type": "Named as made by AI",
};
