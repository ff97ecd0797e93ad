"""The experiment of Kobayashi et al. 2020, section 5: word alignments from attention."""
