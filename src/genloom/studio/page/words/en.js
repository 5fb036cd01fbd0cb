// English; a word is known by its group and its name, as "make.stop".

const s = (n) => (n === 1 ? "" : "s");

export default {
  "": {
    "title": "genloom studio", "skip": "Skip to content", "nav": "Views", "language": "\u4e2d\u6587", "language.name": "\u4e2d\u6587, switch to Chinese",
    "signout": "Sign out", "notice": "Everything made here is AI-generated.", "close": "Close", "cancel": "Cancel", "more": "Show more", "retry": "Try again",
    "copy": "Copy", "copied": "Copied", "loading": "Loading\u2026",
  },
  nav: {
    "make": "Make", "gallery": "Gallery", "jobs": "Jobs", "review": "Review", "keys": "Keys", "check": "Check", "explore": "Explore", "train": "Train",
    "judge": "Judge", "more": "More",
  },
  theme: {
    "dark": "Dark colours", "light": "Light colours",
  },
  error: {
    "offline": "The server does not answer. Is genloom serve still running?", "status": "The server answered {status}.", "retry": "Try again in {seconds} s.",
  },
  time: {
    "seconds": "{n} s", "minutes": "{n} min", "hours": "{n} h",
  },
  signin: {
    "title": "Sign in", "lead": "This server asks for a key.", "key": "Key", "wrong": "No such key. Ask whoever runs the server.",
  },
  make: {
    "settings": "Settings", "results": "Results", "none": "No model is served yet.", "train": "Train one", "generate": "Generate", "stop": "Stop",
    "keys": "Ctrl+Enter makes, Esc stops", "class": "Which", "any": "Any", "find": "Find a class", "prompt": "Begin with",
    "prompt.hint": "The model goes on from here", "caption": "Describe it", "caption.hint": "What it should show", "negative": "Leave out", "negative.hint": "What guidance leads away from", "midi": "Begin with a MIDI file", "n": "How many", "seed.hint": "The same seed makes the same thing again", "lock": "Keep this seed",
    "unlock": "A new seed each time", "dice": "Roll a new seed", "seed.any": "random", "options": "Fine tuning", "reset": "Back to the defaults",
    "ready": "Ready when you are", "ready.hint": "Choose what to make, then press Generate.", "step": "Step {step}", "of": "Step {step} of {steps}",
    "working": "Making {n}\u2026", "done": ({ n }) => `${n} made in {time}`, "cancelled": "Stopped.", "failed": "That did not work",
    "history": "Earlier, in this visit", "again": ({ n }) => `Show again: {model}, ${n} item${s(n)}`, "cut": "The connection ended before the result.", "ignored": "Not read: {what}.",
  },
  model: {
    "classes": ({ n }) => `${n} class${n === 1 ? "" : "es"}`, "dims": ({ n }) => `${n} dimension${s(n)}`, "length": ({ n }) => `up to ${n} characters`, "events": "up to {n} events",
  },
  option: {
    "steps": "Steps", "guidance": "Guidance", "guide_from": "Guidance from noise", "guide_to": "Guidance to noise", "rescale": "Contrast kept",
    "eta": "Fresh noise", "solver": "Solver", "temperature": "Temperature", "top_k": "Only the k likeliest", "top_p": "Only the likeliest share",
    "min_p": "Least likelihood", "truncation": "Truncation", "noise": "Add noise", "none": "not set",
  },
  hint: {
    "steps": "More steps take longer and are often finer", "guidance": "Higher keeps closer to the class, with less variety",
    "temperature": "Lower is safer, higher is bolder", "truncation": "Lower is more typical, higher more varied",
  },
  item: {
    "image": "{model}, {label}, seed {seed}", "held": "Held for review", "held.hint": "A reviewer decides whether it may be seen.", "unlabelled": "any class",
    "copy": "Copy text", "open": "Open",
  },
  plot: {
    "label": ({ n }) => `Scatter plot of ${n} point${s(n)}. Arrow keys walk from point to point, Enter opens one.`, "table": "The points as a table",
    "earlier": "Faint: earlier points of this model", "axes": "Dimensions 1 and 2 of {n}",
  },
  detail: {
    "title": "One of them", "model": "Model", "label": "Class", "seed": "Seed", "created": "Made", "state": "State", "id": "Record", "prompt": "Beginning",
    "download": "Download", "vary": "Variations", "vary.hint": "The same class, with the seeds around this one", "reuse": "Use these settings",
    "code": "Make it with code", "previous": "Previous", "next": "Next", "delete": "Delete for good", "delete.sure": "Really delete?", "deleted": "Deleted",
  },
  state: {
    "free": "free", "held": "held", "approved": "approved", "rejected": "rejected",
  },
  gallery: {
    "lead": "Everything you have made, newest first.", "empty": "Nothing here yet", "empty.hint": "What you make is kept here.", "make": "Make something",
    "every": "All", "select": "Select", "chosen": "{n} chosen", "all": "Choose all shown", "zip": "Download as ZIP", "sure": "Really delete {n}?",
    "gone": "{n} deleted", "done": "Done",
  },
  jobs: {
    "lead": "Work that goes on when this page is closed.", "empty": "No jobs yet", "empty.hint": "Train a model, and watch it here.", "list": "All jobs",
  },
  job: {
    "train": "Train", "sample": "Sample", "evaluate": "Evaluate", "compare": "Compare", "queued": "waiting", "running": "running", "succeeded": "done",
    "failed": "failed", "cancelled": "cancelled", "cancelling": "stopping", "ahead": ({ ahead }) => `${ahead} ahead`, "took": "took {time}",
    "since": "for {time}", "use": "Make with {name}", "progress": "Progress of {name}", "result": "Result", "report": "Report", "request": "Request",
    "survey": "Survey", "forecast": "Forecast",
  },
  train: {
    "title": "Train a model", "data": "From", "own": "My own files", "drop": "Drop a zip, a table or a text here, or choose one", "chosen": "{name}, {size}",
    "digits": "Digits", "glyphs": "Glyphs", "factors": "Shapes of known causes", "moons": "Moons", "rings": "Rings", "gaussians": "Gaussians", "family": "With",
    "flow": "Flow", "flow.hint": "An all-rounder: from noise to data along straight paths", "gan": "GAN", "gan.hint": "Sharp, and quick to sample",
    "vae": "VAE", "vae.hint": "Trains soonest, looks softer; has a code for each item", "diffusion": "Diffusion",
    "diffusion.hint": "Removes noise step by step; patient and fine", "autoregressive": "Autoregressive",
    "autoregressive.hint": "One piece after the other; best for text", "minutes": "Minutes", "name": "Name",
    "name.hint": "a-z, digits, dot, dash and underscore", "go": "Start training", "started": "Training has started", "uploading": "Uploading\u2026",
    "nofile": "Choose a file first.", "lead": "From your data to a model of your own.", "folder": "Choose a folder", "empty": "There is no file in it.",
    "much": "{n} files, {size}: that is too much for a page. Use the genloom command.", "packing": "Packing {done} of {n}\u2026",
    "packed": ({ n }) => `{name}: ${n} file${s(n)}, {size}`, "none": "No training yet", "none.hint": "Choose data and a family, then start.",
    "runs": "Trainings", "maynot": "Your key may not train.", "captions": "Learn the captions", "captions.hint": "Then the model makes what you describe",
    "captions.not": "This family does not read captions.",
  },
  review: {
    "lead": "Held back by a filter. You decide whether they may be seen.", "empty": "Nothing waits for you",
    "empty.hint": "What a filter holds back appears here.", "for": "Held for", "reason": "Reason", "approve": "Approve", "reject": "Reject",
    "needs": "Say why it is rejected.", "approved": "Approved", "rejected": "Rejected", "hidden": "The picture cannot be shown",
  },
  keys: {
    "lead": "Who may use this server, for what, and how much.", "empty": "No keys yet", "empty.hint": "As long as there is none, this machine needs none.",
    "name.hint": "Letters, digits, dot, dash, underscore and @", "scopes": "May", "minute": "Requests a minute", "day": "Samples a day",
    "unlimited": "no limit", "new": "New key", "add": "Make a key", "secret": "Copy this now. It is shown this once.", "remove": "Remove {name}",
    "remove.sure": "Really remove?", "removed": "{name} is removed", "needs": "A key needs at least one permission.",
    "first": "From the first key on, this machine needs one too; you will be signed in with it.",
  },
  scope: {
    "generate": "make things", "train": "train models", "admin": "review, and manage keys",
  },
  check: {
    "lead": "Was this made by AI? See which marks a file carries.", "drop": "Drop a file here, or choose one", "working": "Looking\u2026",
    "hint": "A picture, text or table. Nothing is kept.", "detected": "found", "not_detected": "not found", "some": "This file carries a mark",
    "nothing": "No mark was found", "nothing.hint": "That does not prove that a person made it: marks can be lost or removed.", "about": "About the mark",
  },
  mark: {
    "c2pa": "Signed manifest (C2PA)", "sidecar": "Signed file beside it", "watermark": "Invisible watermark", "record": "Known to this server",
    "aigc_label": "AIGC label", "digital_source_type": "Named as made by AI",
  },
  film: {
    "play": "Play", "pause": "Pause",
  },
  explore: {
    "lead": "What lies between two seeds, and how a sample comes about.", "how": "What to look at", "walk": "A walk", "codes": "Codes",
    "making": "How it is made", "from": "From seed", "to": "To seed", "frames": "Frames", "go": "Walk", "watch": "Watch it being made",
    "at": "{share} % of the way from {from} to {to}", "done": "{n} frames", "end": "Finished",
    "walk.hint": "Two seeds, and everything between them, as a film.", "making.hint": "One sample from the first guess to the last, as a film.",
    "letters": ({ n }) => `${n} character${s(n)}`,
  },
  codes: {
    "hint": "Each number is one of the model's own dimensions; 0 is its middle.", "ready": "Move a number, or begin in the middle or at random.", "part": "Number {i}", "rest": ({ n }) => `${n} more`, "roll": "At random",
    "middle": "The middle", "alt": "The code decoded", "directions": "Directions",
    "directions.hint": "Mark some with a quality as A and some without as B: their difference is a slider.", "pick": "A press marks", "a": "A",
    "a.hint": "with", "b": "B", "b.hint": "without", "start": "Start", "start.hint": "go there", "make": "Make a slider from B to A",
    "none": "Make some samples first: they are picked here.", "both": "Mark at least one A and one B.", "way": "Direction {n}",
    "way.hint": "Left is towards B, right towards A", "forget": "Forget {name}",
  },
  judge: {
    "lead": "How good is it? Numbers with their doubt, and your own eyes.", "part.reports": "Reports", "part.vote": "Blind vote", "ask": "Judge models",
    "ask.hint": "Each against data that it has never seen. Several are compared.", "models": "Models", "which": "Choose at least one model.",
    "started": "Judging has started", "reports": "Lay side by side", "noreports": "No report yet.", "empty": "No report is chosen",
    "empty.hint": "Judge a model, or tick a report.", "value": "Value with 95 % interval", "interval": "{low} to {high}", "n": "n = {n} on each side",
    "floor": "real against real {value}", "trivial": "trivial generator {value}", "off": ", off the scale", "lower": "Lower is better.",
    "higher": "Higher is better.", "closer": "Closer to real data is better.", "best": "{name} is best.", "even": "No difference shown.",
    "some": "No difference shown between {names}; the others are worse.", "passed": "passed", "notpassed": "not passed", "pairs": "Nearest training items",
    "pairs.hint": "Left what the model made, right what it was trained on. Alike means: look closely.", "pairs.none": "This report holds no pairs.",
    "generated": "made", "training": "training item", "distance": "distance {value}",
  },
  measure: {
    "kid": "KID", "kid.plain": "How far samples lie from unseen real items.", "frechet": "Fr\u00e9chet distance",
    "frechet.plain": "Both crowds by their mean and spread.", "two_sample": "Two-sample test",
    "two_sample.plain": "How often a classifier tells a sample from a real item.", "precision": "Precision",
    "precision.plain": "Share of samples that lie where real items lie.", "recall": "Recall", "recall.plain": "Share of real items that lie where samples lie.",
    "density": "Density", "density.plain": "How crowded with real items the places of samples are.", "coverage": "Coverage",
    "coverage.plain": "Share of real items with a sample close by.", "label_accuracy": "Label accuracy",
    "label_accuracy.plain": "Share of samples that show the class that was asked for.", "diversity": "Diversity",
    "diversity.plain": "How far samples lie from each other; 1 is as in the data.", "class_kl": "Class balance",
    "class_kl.plain": "How far the classes are from their shares in the data.", "bits_per_dim": "Bits per dimension",
    "bits_per_dim.plain": "Bits that one value of an unseen item costs.", "bits_per_char": "Bits per character",
    "bits_per_char.plain": "Bits that one character of unseen text costs.", "nll": "Negative log-likelihood",
    "nll.plain": "How surprised the model is by an unseen item.", "copies": "Copies of training items",
    "copies.plain": "Share of samples far nearer to a training item than unseen items are.", "classifier_score": "Inception-style score",
    "classifier_score.plain": "High where samples are clear and varied.", "distinct_4": "Different runs",
    "distinct_4.plain": "Share of different runs of four characters.", "repetition": "Repetition",
    "repetition.plain": "Share of runs that occurred before in the same text.",
  },
  vote: {
    "title": "A blind vote", "lead": "Two models make pairs. You see no names, sides are shuffled, and the result is told at the end.",
    "few": "A vote needs two models", "few.hint": "Both must make pictures, or both text.", "a": "One model", "b": "Another model", "seeds": "Pairs",
    "same": "same seed", "same.hint": "the same class on both sides", "own": "own seeds", "own.hint": "each as it comes", "rounds": "How many pairs",
    "go": "Start the vote", "unlike": "Choose two different models of the same kind.", "question": "Which is better?", "left": "Left", "right": "Right",
    "tie": "Neither", "left.alt": "The left one", "right.alt": "The right one", "keys": "Keys: 1 or \u2190 left, 2 or \u2192 right, 0 or \u2193 neither",
    "of": "{i} of {n}", "progress": "Progress of the vote", "stop": "End the vote here", "over": "What the votes say", "again": "Vote again",
    "none": "Nobody has decided yet.", "prefers": "{a} is preferred.", "opposes": "{b} is preferred.",
    "undecided": "No preference shown: the interval holds one half.", "share": "{a} wins {share} % of decided votes (95 % interval {low} to {high} %).",
    "tally": ({ votes }) => `${votes} vote${s(votes)} in all: {wins} for {a}, {losses} for {b}, {ties} for neither.`, "unveil": "Who made what",
    "chose": "chosen: {name}",
  },
  survey: {
    "working": "Reading all of it\u2026", "read": "{n} read", "out": "{n} left out", "kept": "(used all the same)", "more": "{n} more",
    "duplicates": ({ n }) => `${n} duplicate${s(n)}`, "captions": "{n} captions",
  },
  kind: {
    "image": "pictures", "points": "points", "text": "text",
  },
  split: {
    "train": "to train on:", "valid": "to choose by:", "test": "to judge by:",
  },
  forecast: {
    "working": "A rehearsal, to tell what it will take\u2026", "queued": "The rehearsal waits: {ahead} ahead", "time": "Time", "memory": "Memory",
    "disk": "Disk",
  },
  watch: {
    "samples": "Samples along the way", "look": "Curves and samples", "left": "{time} left", "stopping": "It stops at a checkpoint", "resume": "Go on",
    "nothing": "Nothing to see yet.",
  },
  curve: {
    "told": "{name}: from {first} to {last} at step {step}", "log": "logarithmic", "more": ({ n }) => `${n} more curve${s(n)}`, "grad_norm": "gradient norm",
    "items_per_s": "items a second", "seconds": "seconds",
  },
  alarm: {
    "discriminator_wins": "The discriminator wins", "discriminator_overfits": "The discriminator knows the data by heart",
    "collapse": "Collapse: all samples look alike", "posterior_died": "The code carries nothing", "codebook_died": "Most of the codebook is unused",
    "plateau": "It no longer gets better",
  },
  health: {
    "title": "How the server does", "waiting": "Requests waiting", "running": "Requests running", "jobs": "Jobs open", "workers": "Workers",
    "deaths": "Worker deaths", "rejected": "Turned away", "half": "Half of all generations", "most": "95 % of generations", "none": "none yet",
  },
  original: {
    "from": "Made from", "maybe": "Start from a picture", "drop": "Drop a picture here, or choose one", "grey": "Its colours are painted anew",
    "small2": "It is made twice as large", "small4": "It is made four times as large", "masked": "Then paint the hole that is filled",
    "paired": "It is translated", "unpaired": "It is translated", "edit": "It is changed, all of it or where you paint", "source": "The picture it starts from",
    "remove": "Another picture", "cut": "This part of it is used.",
    "paint.hole": "Paint what is to be filled. With nothing painted, each sample draws a hole of its own.",
    "paint.edit": "Paint where it may change; with nothing painted, it may everywhere.", "strength": "How much changes",
    "strength.hint": "0 gives the picture back, 1 makes it anew", "unreadable": "That is no picture that this browser can read.",
    "missing": "Choose a picture first: this model makes its samples from one.", "again": "What it was made from is not kept. Choose it again.",
    "code": "The picture is source.png here; mask.png is transparent where it was painted.",
  },
  tune: {
    "name": "Voices to this tune", "drop": "Drop a MIDI file here, or choose one", "hint": "Its tracks are the first voices; the others are written to them",
    "chosen": "{name} is the tune.", "remove": "Another tune", "code": "The tune is source.mid here.",
  },
  keyboard: {
    "play": "Play it here", "name": "Piano", "hint": "Play with a pointer or with the letters A, W, S, E, D and so on while a key has the focus. Notes fall on eighths.",
    "tempo": "Beats a minute", "click": "Click on each beat", "undo": "Take back the last note", "clear": "Play anew", "connect": "Use a MIDI keyboard",
    "connected": "MIDI keyboards that are heard: {n}", "none": "No MIDI keyboard was found.",
  },
  brush: {
    "size": "Breadth of the brush", "tools": "Brush", "paint": "Paint", "erase": "Erase", "undo": "Undo", "clear": "Clear all of it",
    "board": "Picture to paint on: drag, or move with the arrow keys and paint with the space bar; Shift and an arrow paint a line.",
    "share": "{share} % painted.",
  },
};
