-- Events of the flat family get an ordered list of their own in the index, written from the beginning of each log.
insert into follower (tenant_id, name, position) select tenant_id, 'flat', 0 from head
