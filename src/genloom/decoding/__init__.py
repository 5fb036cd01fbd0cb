"""Drawing tokens: which may come next, in rows that come and go, held to forms, by guesses."""
