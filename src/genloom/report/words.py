"""What each measure is called, the question it answers, and one plain sentence about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """How a measure is presented.

    Args:
        title: Its name in the table.
        question: What a person wants to know.
        plain: One sentence without jargon: what it does and how to read it.
        rank: Where it stands on the page; the lower, the earlier.
        headline: Whether the summary answers its question.
        percent: Shown as a share of a hundred.
        features: Whether it stands and falls with the extractor.
    """

    title: str
    question: str
    plain: str
    rank: int
    headline: bool = False
    percent: bool = False
    features: bool = True


MEASURES = {
    "kid": Measure(
        "KID",
        "Looks most like the data",
        "How far the crowd of samples lies from the crowd of unseen real items, in the features "
        "named below; 0 is no distance, and chance can push it a little under 0.",
        10,
        headline=True,
    ),
    "frechet": Measure(
        "Fréchet distance",
        "Nearest in mean and spread",
        "The distance between samples and unseen real items when each crowd is summed up by its "
        "mean and its spread; it shrinks as n grows, so compare it at equal n only.",
        11,
    ),
    "two_sample": Measure(
        "Two-sample test",
        "Hardest to tell from real",
        "How often a fresh classifier tells a sample from a real item; 50 % is guessing, 100 % "
        "means that every sample gives itself away.",
        20,
        percent=True,
    ),
    "precision": Measure(
        "Precision",
        "Most samples are plausible",
        "The share of samples that lie where real items lie.",
        30,
        percent=True,
    ),
    "density": Measure(
        "Density",
        "Samples in crowded places",
        "How crowded with real items the places of the samples are; 1 is as crowded as those of "
        "real items, and more is a sign that samples keep to the commonest ones.",
        31,
    ),
    "recall": Measure(
        "Recall",
        "Reaches the rare items",
        "The share of real items that lie where samples lie.",
        33,
        percent=True,
    ),
    "coverage": Measure(
        "Coverage",
        "Covers most of the data",
        "The share of real items that have a sample close by; low where kinds of items are "
        "missing.",
        32,
        headline=True,
        percent=True,
    ),
    "label_accuracy": Measure(
        "Label accuracy",
        "Makes what you ask for",
        "The share of samples in which a judge, that no model has seen, finds the class that was "
        "asked for.",
        40,
        headline=True,
        percent=True,
        features=False,
    ),
    "preferred": Measure(
        "Preferred answers",
        "Prefers what you prefer",
        "The share of unseen pairs of answers of which the model finds the chosen one likelier; a "
        "coin gets half. Long answers are less likely, so compare it with the same share before "
        "training.",
        41,
        headline=True,
        percent=True,
        features=False,
    ),
    "preferred_by_base": Measure(
        "Preferred answers, before",
        "What it preferred before",
        "The same share of the model that training began with.",
        42,
        percent=True,
        features=False,
    ),
    "diversity": Measure(
        "Diversity",
        "As varied as the data",
        "How far samples lie from each other, relative to real items; 1 is as varied as the data, "
        "near 0 all samples are alike.",
        50,
    ),
    "class_kl": Measure(
        "Class balance",
        "Every class in its share",
        "How far the classes of the samples are from their shares in the data; 0 is equal.",
        51,
        features=False,
    ),
    "FID": Measure(
        "FID",
        "Nearest in Inception's features",
        "The Fréchet distance in the features of the usual Inception network, whose weights you "
        "supplied; it shrinks as n grows, so compare it at equal n only.",
        9,
    ),
    "IS": Measure(
        "IS",
        "Clear and varied classes",
        "High where the usual Inception network is sure of each sample and all classes occur; it "
        "never looks at the real items.",
        60,
    ),
    "classifier_score": Measure(
        "Inception-style score",
        "Clear and varied classes",
        "High where a classifier is sure of each sample and all classes occur; it never looks at "
        "the real items, so it cannot see copies or blemishes.",
        60,
    ),
    "bits_per_dim": Measure(
        "Bits per dimension",
        "Best likelihood",
        "How many bits the model needs for one value of an unseen item; 8 is knowing nothing of "
        "a byte. Exact values, bounds and estimates are named as such.",
        15,
        headline=True,
        features=False,
    ),
    "bits_per_char": Measure(
        "Bits per character",
        "Best likelihood",
        "How many bits the model needs for one character of unseen text.",
        15,
        headline=True,
        features=False,
    ),
    "bits_per_word": Measure(
        "Bits per event",
        "Best likelihood",
        "How many bits the model needs for one event of unseen music: a bar, a place, a note.",
        15,
        headline=True,
        features=False,
    ),
    "bits_per_byte": Measure(
        "Bits per byte",
        "Packs unseen text best",
        "How many bits the model needs for one byte of unseen text, which files that compressors "
        "pack are measured in too; 8 is knowing nothing.",
        16,
        features=False,
    ),
    "nll": Measure(
        "Negative log-likelihood",
        "Best likelihood",
        "How surprised the model is by an unseen item, in nats of a density.",
        15,
        headline=True,
        features=False,
    ),
    "copies": Measure(
        "Copies of training items",
        "Copies least",
        "The share of samples that lie far nearer to a training item than unseen items do.",
        70,
        percent=True,
    ),
    "pixel_difference": Measure(
        "Difference of pixels",
        "Nearest to the true pictures",
        "How far the pixels of a result lie from those of the one true picture, on a scale of 0 to "
        "255. A blurred average of all good answers does well here, so read it beside the measures "
        "of the whole set; the trivial answer is the source itself.",
        16,
        features=False,
    ),
    "psnr": Measure(
        "PSNR",
        "Least error in the pixels",
        "The same in decibels, where large errors count more: 3 more is half the squared error, "
        "and pictures that are equal have 58.9.",
        17,
        features=False,
    ),
    "feature_distance": Measure(
        "Distance of features",
        "Shows what the true pictures show",
        "How far a result lies from the one true picture in the features named below, which see "
        "form and texture rather than single pixels; 0 is the same, 4 the opposite.",
        18,
    ),
    "colour_difference": Measure(
        "Difference of colours",
        "Colours nearest to the true pictures",
        "How far the colours of a result lie from those of the one true picture, whatever their "
        "lightness (a and b of CIE Lab); 0 is equal. A greyish answer does well here.",
        19,
        features=False,
    ),
    "retrieval@1": Measure(
        "Caption found first",
        "Shows what the caption says",
        "The share of samples whose own caption fits them better than 99 others do, by a judge "
        "that no model has seen; chance finds 1 %, and real pictures show what can be reached.",
        41,
        headline=True,
        percent=True,
        features=False,
    ),
    "retrieval@5": Measure(
        "Caption among five",
        "Shows roughly what the caption says",
        "The share of samples whose own caption is among the five that fit them best, of 100; "
        "chance finds 5 %.",
        42,
        percent=True,
        features=False,
    ),
    "mig": Measure(
        "MIG",
        "One number for one cause",
        "Whether each cause of the pictures, such as size or place, is told by one number of the "
        "code alone: what the best number tells of it less what the second best tells; 1 is one "
        "number for each cause, 0 is none or a shared one.",
        54,
        features=False,
    ),
    "sap": Measure(
        "SAP",
        "A cause is read off one number",
        "How much better a cause can be read off the best number of the code than off the second "
        "best; 1 is always right from one number and never from another.",
        55,
        features=False,
    ),
    "dci_disentanglement": Measure(
        "Disentanglement (DCI)",
        "Each number tells one cause",
        "Whether a number of the code that is of use is of use for one cause alone; 1 is for one "
        "only, 0 is for all alike.",
        56,
        features=False,
    ),
    "dci_completeness": Measure(
        "Completeness (DCI)",
        "Each cause needs one number",
        "Whether a cause can be told from one number of the code; 1 is from one only, 0 needs "
        "all alike.",
        57,
        features=False,
    ),
    "dci_informativeness": Measure(
        "Informativeness (DCI)",
        "The code tells the causes",
        "How often a forest of trees that sees the whole code names the right cause of a picture "
        "that it has not seen.",
        58,
        percent=True,
        features=False,
    ),
    "longest_match": Measure(
        "Longest verbatim run",
        "Quotes no more than unseen text does",
        "How long the longest run of a text is that the training part holds word for word, on "
        "average; as in unseen text is right, longer is quoted, shorter is not of this language.",
        71,
        features=False,
    ),
    "validity": Measure(
        "Valid molecules",
        "Makes molecules",
        "The share of samples that are molecules at all: their brackets, rings and bonds hold.",
        12,
        headline=True,
        percent=True,
        features=False,
    ),
    "uniqueness": Measure(
        "Different molecules",
        "Repeats itself least",
        "The share of different ones among the molecules; it falls as n grows, so compare it with "
        "real molecules at the same n.",
        13,
        percent=True,
        features=False,
    ),
    "novelty": Measure(
        "New molecules",
        "Makes what it was not shown",
        "The share of the different molecules that the training part does not hold; of unseen real "
        "ones it is all, for equal molecules share a part.",
        14,
        headline=True,
        percent=True,
        features=False,
    ),
    "internal_diversity": Measure(
        "Variety of molecules",
        "As varied as the data",
        "How little two molecules share, on average, of their pieces; as in real ones is right.",
        54,
        features=False,
    ),
    "snn": Measure(
        "Nearest real molecule",
        "Near to unseen molecules",
        "How much a molecule shares, on average, with the unseen real one that is nearest to it; "
        "as between two sets of real ones is right.",
        55,
        features=False,
    ),
    "scaffolds": Measure(
        "Scaffolds",
        "The same frames of rings",
        "How alike the samples and unseen molecules are in the frames of rings that they are built "
        "on; 1 is the same in the same shares.",
        56,
        features=False,
    ),
    "qed_w1": Measure(
        "Drug-likeness",
        "As drug-like as the data",
        "How far the QED of molecules, from 0 to 1, would have to move, on average, to be "
        "distributed as in unseen ones.",
        57,
        features=False,
    ),
    "sa_w1": Measure(
        "Ease of synthesis",
        "As easy to make as the data",
        "How far the score of synthetic accessibility, from 1 (easy) to 10, would have to move.",
        58,
        features=False,
    ),
    "logp_w1": Measure(
        "Solubility in fat (logP)",
        "As soluble as the data",
        "How far the predicted logP of molecules would have to move.",
        59,
        features=False,
    ),
    "weight_w1": Measure(
        "Molecular weight",
        "As heavy as the data",
        "How far the weights of molecules, in dalton, would have to move.",
        60,
        features=False,
    ),
    "pitch_w1": Measure(
        "Pitch",
        "As high and low as the data",
        "How far the pitches of notes would have to move, in semitones, to be distributed as in "
        "unseen pieces.",
        61,
        features=False,
    ),
    "duration_w1": Measure(
        "Length of notes",
        "Notes as long as in the data",
        "How far the lengths of notes would have to move, in beats.",
        62,
        features=False,
    ),
    "pitch_class_overlap": Measure(
        "Pitch classes",
        "The same degrees of the scale",
        "The share that pitch classes of the samples and those of unseen pieces have in common.",
        63,
        percent=True,
        features=False,
    ),
    "interval_overlap": Measure(
        "Melodic intervals",
        "Steps and leaps as in the data",
        "The share that the steps and leaps of the samples' upper notes and those of unseen pieces "
        "have in common.",
        64,
        percent=True,
        features=False,
    ),
    "note_density_w1": Measure(
        "Density of notes",
        "As busy as the data",
        "How far the notes a beat of a piece would have to move, on average.",
        65,
        features=False,
    ),
    "polyphony_w1": Measure(
        "Notes at once",
        "As many voices as the data",
        "How far the number of notes that sound together would have to move, on average.",
        66,
        features=False,
    ),
    "key_clarity_w1": Measure(
        "Clarity of key",
        "Keeps to a key as the data do",
        "How far the correlation of a piece's notes with its best key would have to move.",
        67,
        features=False,
    ),
    "copied_bars": Measure(
        "Copied bars",
        "Quotes no more than unseen music does",
        "The longest run of bars of a piece that a training piece has too, on average; as "
        "in unseen pieces is right, for music quotes too.",
        16,
        headline=True,
        features=False,
    ),
    "self_bleu": Measure(
        "Self-BLEU",
        "As varied as real texts",
        "How much of a text others of the same set hold too, in runs of one to four; 1 is all "
        "alike. As in real texts is right: more is monotony, less is noise.",
        51,
        features=False,
    ),
    "verse_form": Measure(
        "Form of verse",
        "Keeps the form of the verse",
        "The share of poems whose lines are all of 5 or all of 7 characters, in couplets.",
        17,
        headline=True,
        percent=True,
        features=False,
    ),
    "verse_rhyme": Measure(
        "Rhyme",
        "Rhymes as real poems do",
        "How many couplets of a poem in form rhyme with the one before. Two characters rhyme that "
        "some training poem has at these places, so even real poems do not reach 100 %.",
        18,
        percent=True,
        features=False,
    ),
    "distinct_4": Measure(
        "Different runs",
        "Richest wording",
        "The share of different runs of four characters; as in the data is right.",
        52,
        percent=True,
    ),
    "repetition": Measure(
        "Repetition",
        "Repeats itself like the data",
        "The share of runs of characters that occurred before in the same text.",
        53,
        percent=True,
    ),
}

ARROWS = {
    "lower": "lower is better",
    "higher": "higher is better",
    "closer": "closer to real is better",
}


def measure(name: str) -> Measure:
    """How to present a measure; one that is not known is presented by its name.

    Args:
        name: Of an estimate; what it was taken in may stand after it, in square brackets.
    """
    known = MEASURES.get(name.partition("[")[0])
    title = name.replace("_", " ").capitalize()
    return known or Measure(title, title, "", 65)
