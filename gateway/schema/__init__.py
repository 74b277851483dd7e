"""What a data source is made of: columns, types, paths, engine, indexes; read from text and written as SQL. Pure."""
