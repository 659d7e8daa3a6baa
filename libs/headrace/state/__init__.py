"""Small documents that services and jobs remember: cursors, bookmarks, marks."""
