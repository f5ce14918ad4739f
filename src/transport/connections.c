extern int chat_not_written_yet;
