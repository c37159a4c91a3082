"""What is done with a finished study: it is opened in a notebook, held beside another, described and packed for others."""
