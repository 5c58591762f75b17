module gapcheck.test/goclient

go 1.26
