-- Which header held which column when a file was landed: where a mended profile finds a column elsewhere, the file is read again.
alter table landing.files add column columns_sha256 varchar;
