module gapcheck.test/lab/standin

go 1.26.0
