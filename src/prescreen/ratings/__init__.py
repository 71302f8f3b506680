"""Files to votes and ratings, in one checked form with spread and reliability.

A file goes through these steps, each in the modules named:

- file to tables: `files`, `csv_text`, `workbook`, `json_rows`, `table`
- columns to meanings, such as image, trait, vote and rater: `columns`, `meanings`
- tables to rows, by layout: `formats`, `wide`, `omi`, `label_studio`, `rows`
- names in the file to pictures in the folder: `image_names`
- rows to ratings: `reading` and `other_columns`, or to typed human scores: `results`
- raters: who can be compared and who stands out in `crowd` and `rater_checks`, votes freed of them in `raters` and
  `rater_fit`
- scales and noise: `scale`, `reliability`, `vote_noise`

`prescreen.ratings.reading.read_ratings` does all of it. This package imports nothing, so that `scale` loads quickly.
"""
