"""Questions a pipeline asks: is everything good, and may it go on?"""
