// sequencer: every verdict becomes its copies, numbered from 0, each once, and then its credit goes back. The queue has a
// proof of its own (fifo).
reg [7:0] f_edits = 0; // ordered, not taken and not void
reg f_left = 0;
reg f_returned = 0;
reg [$bits(number)-1:0] f_number = 0;
always @(posedge clk) begin
    assume (f_edits >= edit_taken + edit_void);
    f_left <= done & ~rst;
    f_returned <= f_left & ~rst;
    if (rst) begin
        f_edits <= 0;
        f_number <= 0;
    end else begin
        f_edits <= f_edits + copy_valid - edit_taken - edit_void;
        if (copy_valid) f_number <= last ? 0 : f_number + 1;
    end
end
always @(posedge clk) if (!rst) begin
    numbers_follow: assert (copy_number == f_number);
    if (copy_valid) only_with_a_slot: assert (f_edits < RESET_credits);
    slots_are_counted: assert (credits + f_edits == RESET_credits);
    credit_goes_back_once: assert (credit_return == f_returned);
    if (done) done_is_an_order: assert (copy_valid);
    leaves_behind_the_last: assert (leaves == f_left);
    if (leaves) leaves_in_the_gap: assert (verdicts_out_valid && number == 0 && gap != 0);
end
reg f_more = 0;
reg [$bits(copy_verdict)-1:0] f_verdict;
always @(posedge clk) begin
    f_more <= copy_valid & ~last & ~rst;
    f_verdict <= copy_verdict;
    if (!rst && f_more) verdict_stays_for_its_copies: assert (copy_verdict == f_verdict);
    if (!rst && number != 0) rest_is_there: assert (verdicts_out_valid);
end
