-- What is noted on devices and recipes is flat from here on, as it is on connected accounts, and has the same name.
-- Rows that hold anything else from before are read leniently, for no SQL of both engines could convert them.

alter table device rename column metadata to custom_metadata;

alter table recipe rename column metadata to custom_metadata
