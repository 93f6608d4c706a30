// stream_register: a two-place register slice. Words come out as they went in, each once, in order; a word that is
// offered stays until it is taken.
reg f_stalled = 0;
reg [$bits(out_data)-1:0] f_offered;
always @(posedge clk) begin
    f_stalled <= out_valid & ~out_ready & ~rst;
    f_offered <= out_data;
end

// Any one word is followed from where it enters to where it leaves.
(* anyseq *) wire f_choose;
wire f_push = in_valid & in_ready;
wire f_pop = out_valid & out_ready;
reg [1:0] f_inside = 0;
reg f_follows = 0;
reg [1:0] f_ahead = 0;
reg [$bits(out_data)-1:0] f_word;
always @(posedge clk) begin
    if (rst) begin
        f_inside <= 0;
        f_follows <= 0;
    end else begin
        f_inside <= f_inside + f_push - f_pop;
        if (f_follows) begin
            if (f_pop) begin
                if (f_ahead == 0) f_follows <= 0;
                f_ahead <= f_ahead - 1;
            end
        end else if (f_push & f_choose) begin
            f_follows <= 1;
            f_ahead <= f_inside - f_pop;
            f_word <= in_data;
        end
    end
end

always @(posedge clk) if (!rst) begin
    if (f_stalled) offer_stays: assert (out_valid);
    if (f_stalled) offered_data_stays: assert (out_data == f_offered);
    words_are_counted: assert (f_inside == {1'b0, out_valid} + {1'b0, held});
    if (f_follows) followed_is_inside: assert (f_ahead < f_inside);
    if (f_follows && f_ahead == 0) word_comes_out: assert (out_data == f_word);
    if (f_follows && f_ahead == 1) word_waits: assert (held_data == f_word);
end
